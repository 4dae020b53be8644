"""The names that forms have, in other languages: `Titel`, `Betreff`, `nombre`. Pure.

Whoever writes `Antwort A` or `[Oggetto]` in place of an answer says no more than one who does it in English.
Words that mean much else besides are left out: a stub that is believed costs less than an answer refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

_WORDS: Final = """
    title: titel überschrift título titulo titre titolo otsikko tytuł tytul tittel rubrik заголовок タイトル
        标题 標題 제목
    subject: betreff oggetto asunto assunto objet onderwerp emne ämne 件名 主题
    topic: thema tema temat sujet argomento тема
    name: nome nombre nom navn namn naam nazwa imię имя название 名前 名称 姓名 이름
    description: beschreibung descripción descripcion description descrição descricao descrizione
        omschrijving beskrivning beskrivelse opis описание 説明 描述 설명
    text: texto texte testo tekst текст 本文 文本 テキスト
    content: inhalt contenido contenu contenuto conteúdo conteudo inhoud innehåll treść содержание 内容
    answer: antwort respuesta réponse reponse risposta resposta antwoord svar odpowiedź ответ 回答 答案
    question: frage pregunta domanda pergunta vraag fråga pytanie вопрос 質問 问题
    example: beispiel ejemplo exemple esempio exemplo voorbeeld exempel eksempel przykład пример 例 示例
    value: wert valor valeur valore waarde värde wartość значение 値 值
    summary: zusammenfassung resumen résumé riassunto resumo samenvatting sammanfattning podsumowanie 要約
        摘要
    step: schritt paso étape passo stap steg krok шаг ステップ 步骤
    reason: begründung grund motivo raison reden anledning powód причина 理由 原因
    claim: behauptung afirmación affirmation affermazione
    note: notiz hinweis nota notatka примечание メモ
    signature: unterschrift firma signature handtekening podpis подпись 署名
    date: datum fecha dato дата 日付 日期
    person: person persona personne pessoa osoba человек
    company: firma unternehmen empresa entreprise azienda bedrijf företag компания 会社 公司
    city: stadt ciudad ville città cidade miasto город 都市 城市
    translation: übersetzung traducción traduction traduzione tradução vertaling tłumaczenie перевод 翻訳 翻译
    term: begriff término termine termo
    category: kategorie categoría catégorie categoria kategoria категория カテゴリ 类别
    letter: schreiben brief carta lettre lettera письмо
    point: punkt punto ponto пункт
    item: eintrag elemento élément element элемент 項目 项目
    product: produkt producto produit prodotto produkten продукт 製品 商品 产品
    key: schlüssel clave clé chiave chave klucz ключ キー 键
    brand: marke marca marque märke marka бренд ブランド 品牌
    decision: entscheidung decisión décision decisione decisão beslissing decyzja решение 決定 决定
    first: erste erster erstes primer primera premier première primo prima primeiro primeira pierwszy
        pierwsza
    second: zweite zweiter zweites segundo segunda deuxième second secondo seconda drugi druga
    consequence: folge konsequenz consecuencia conséquence conseguenza consequência
    heading: abschnitt kapitel sección section sezione seção
    author: autor autora auteur autore автор 著者 作者
    message: nachricht correo courriel mensaje messaggio mensagem wiadomość сообщение メッセージ 消息
    supplier: lieferant proveedor fournisseur fornitore fornecedor dostawca поставщик 仕入先 供应商
    customer: kunde kundin cliente klient клиент 顧客 客户
    order: bestellung pedido commande ordine zamówienie заказ 注文 订单
    article: artikel artículo articolo artigo artykuł статья 記事
    event: ereignis evento événement wydarzenie событие イベント 事件
    here: hier aquí aqui ici qui tutaj здесь
    the: der die das des dem den el la los las le les il lo gli o het de
    a: ein eine einen einer un una une um uma uno een en ett
    of: von vom del della dello di du da das van av
    your: ihr ihre dein deine tu su votre il tuo sua seu
"""


def _table() -> Iterator[tuple[str, str]]:
    english = ""
    for word in _WORDS.split():
        if word.endswith(":"):
            english = word[:-1]
        else:
            yield word, english


_ENGLISH: Final = dict(_table())


def english(found: Iterable[str]) -> list[str]:
    """Some words in lower case, those of other languages' forms in English."""
    return [_ENGLISH.get(word, word) for word in found]
